"""Before the first trade: the ledger belongs to one account, the market data to one source."""

from database import contents
from orchestra import exchange, new_ledger
from orchestra.alpaca_wrapper import AlpacaWrapper
from orchestra.base import settings
from orchestra.base.errors import ExchangeUnavailable, ForeignContents
from system_databse import system_db_manager

ACCOUNT = "broker_account"  # in system_config: mode and account that the ledger belongs to


def make_first_contact(wrapper: AlpacaWrapper) -> None:
    """Hold account and data source against what the databases were begun with.

    New databases take both. Raises ForeignContents, ExchangeUnavailable.
    """
    found = account(wrapper)
    refuse_other_account(found)
    system_db_manager.set_config(ACCOUNT, found)
    contents.claim_source(exchange.source_label())
    new_ledger.look()


def account(wrapper: AlpacaWrapper) -> str:
    """Name mode and account that the keys lead to. Raises ExchangeUnavailable."""
    try:
        return f"{settings.current().mode} account {wrapper.get_account_number()}"
    except ExchangeUnavailable as error:
        if getattr(error.__cause__, "status_code", None) in (401, 403):
            raise ExchangeUnavailable(
                "The broker refuses the keys: check ALPACA_API_KEY, ALPACA_SECRET and ALPACA_PAPER."
            ) from error
        raise


def refuse_other_account(found: str) -> None:
    """Raise ForeignContents where the ledger belongs to another account than this."""
    known = system_db_manager.get_config(ACCOUNT)
    if known is not None and known != found:
        raise ForeignContents(
            f"The ledger {settings.current().system_db_path} belongs to the {known}, but the keys"
            f" lead to the {found}: use those keys again, or name another SYSTEM_DB."
        )
