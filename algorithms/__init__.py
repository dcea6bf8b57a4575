"""The algorithms. Importing this package makes the owner's import lines work in any of them:

``from database import db_manager``, ``import system_db_manager``, ``import card_calculations``.
"""

import system_databse  # noqa: F401  (gives its modules their bare names)
