"""The cart."""

import pytest

from shop.cart import Cart
from shop.feed import Feed


def test_an_empty_cart_costs_nothing():
    assert Cart(Feed()).total() == 0


def test_amounts_of_one_article_add_up():
    cart = Cart(Feed())
    cart.add("tea")
    cart.add("tea", 2)
    assert cart.lines == {"tea": 3}


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_below_one_is_refused(amount):
    with pytest.raises(ValueError, match="at least 1"):
        Cart(Feed()).add("tea", amount)


def test_the_total_is_price_times_amount():
    cart = Cart(Feed())
    cart.add("tea", 2)
    assert cart.total() == 900


def test_articles_are_summed():
    cart = Cart(Feed())
    cart.add("tea")
    cart.add("cup")
    assert cart.total() == 1650
