"""Where prices come from."""

import os

from urllib3.util import parse_url


class Cold(Exception):
    """The feed has not warmed up yet."""


class Feed:
    """Prices in cents by article number.

    It is cold when a machine comes up: on the first attempt of a pipeline's stage it has no prices
    yet. That is what makes the tests that need it flaky, on purpose.
    """

    def __init__(self, address: str = "https://prices.example.org/v1") -> None:
        self.host = parse_url(address).host
        cold = os.environ.get("TURNOUT_ATTEMPT_NUMBER") == "1"
        self._prices = {} if cold else {"tea": 450, "cup": 1200}

    def price(self, article: str) -> int:
        if not self._prices:
            raise Cold(f"the price feed at {self.host} has not warmed up")
        return self._prices[article]
