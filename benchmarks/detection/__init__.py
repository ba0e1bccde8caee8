"""How well harm is found, and how seldom it is imagined: the product and its peers' rules side by side in one run."""
