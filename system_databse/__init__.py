"""system.db: cards, their transactions, and what the terminal must not forget.

The owner's import lines name the modules bare (``import system_db_manager``); the entries below make
the bare and the dotted form one module object.
"""

import sys

from system_databse import card_calculations, create_system_db, system_db_manager

for _module in (create_system_db, system_db_manager, card_calculations):
    sys.modules.setdefault(_module.__name__.rpartition(".")[2], _module)
