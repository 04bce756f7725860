"""The pages. Each module has a list `routes`, which `stones.browser.app` joins.

store_page   the collections of the store
"""
