"""Transactions that keep their changes in memory until the commit.

transaction   BufferedTransaction: a transaction, or a savepoint in one
buffer        its changes, and forks of them for savepoints
backing       what an engine writes itself below such transactions
merged_pages  pages of what is stored, with changes merged into them
"""
