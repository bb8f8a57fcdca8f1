"""What a customer wants to buy."""

from dataclasses import dataclass, field

from shop.feed import Feed


@dataclass
class Cart:
    """Amounts by article number."""

    feed: Feed
    lines: dict[str, int] = field(default_factory=dict)

    def add(self, article: str, amount: int = 1) -> None:
        if amount < 1:
            raise ValueError(f"amount: got {amount}, expected at least 1")
        self.lines[article] = self.lines.get(article, 0) + amount

    def total(self) -> int:
        """In cents."""
        return sum(self.feed.price(article) * amount for article, amount in self.lines.items())
