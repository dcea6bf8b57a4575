"""A stop with sell is carried out whatever else befalls the card in the same moment."""

from system_databse import card_states, system_db_manager


def stopping_card() -> int:
    card = system_db_manager.create_algorithm("NVDA", "sma_crossover", 1000)
    card_states.set_state(card, "frozen", "The broker holds 7 NVDA, the ledger 10.")
    assert card_states.stop_and_sell(card)
    return card


def test_a_brake_or_a_freeze_that_comes_too_late_does_not_forget_the_sale() -> None:
    card = stopping_card()
    for state in ("paused", "frozen"):
        card_states.set_state(card, state, "It was running when this was decided.")
        assert card_states.all_states()[card].state == "stopping"


def test_a_thaw_that_comes_too_late_does_not_forget_the_sale() -> None:
    card = stopping_card()
    card_states.clear_state(card, "frozen")
    assert card_states.all_states()[card].state == "stopping"
    card_states.clear_state(card, "stopping")
    assert card_states.all_states() == {}
