"""The source of an algorithm that several stories put into their algorithms' folder."""

ONE_SHARE = '''"""Buys one share and keeps it."""

import system_db_manager


class Algorithm:
    def __init__(self, ticker, initial_capital):
        pass

    def run(self, current_time, algo_id):
        return ("hold", 0) if system_db_manager.get_transactions(algo_id) else ("buy", 1)
'''
