"""Say what a tea costs."""

from shop.feed import Feed

print(Feed().price("tea"))
