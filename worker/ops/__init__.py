"""The page for eyes: what an operator must see first, on one page that changes nothing."""
