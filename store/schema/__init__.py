"""The tables of the ledger. No other files, beside the migrations, name columns.

Both modules of tables are imported here, so `columns.metadata` is whole wherever it is imported.
"""

from store.schema import beside, learning

__all__ = ["beside", "learning"]
