"""Maintenance of stock hedged with options (FINRA 4210(f)(2)(H)), for the shares that the options cover.

``stock`` is the market value of those shares, ``exercise`` the strike times the same shares; micros, unsigned.
The long options' market value is paid in full besides; a short option in these pairs requires nothing of its own.
"""

from numba import njit

from streaming.risk.money import fraction_kernel


@njit(cache=True)
def protective_put(stock: int, exercise: int, plain: int, hedge_rate: int) -> int:
    """Long stock, long put: lesser of 10% of the strike plus the put's out-of-the-money amount, and ``plain``."""
    return min(fraction_kernel(exercise, hedge_rate) + max(stock - exercise, 0), plain)


@njit(cache=True)
def protective_call(stock: int, exercise: int, plain: int, hedge_rate: int) -> int:
    """Short stock, long call: lesser of 10% of the strike plus the call's out-of-the-money amount, and ``plain``."""
    return min(fraction_kernel(exercise, hedge_rate) + max(exercise - stock, 0), plain)


@njit(cache=True)
def conversion(exercise: int, hedge_rate: int) -> int:
    """Long stock, long put, short call at one strike and expiry: 10% of the strike."""
    return fraction_kernel(exercise, hedge_rate)


@njit(cache=True)
def reverse_conversion(stock: int, exercise: int, hedge_rate: int) -> int:
    """Short stock, short put, long call: 10% of the strike plus the put's in-the-money amount."""
    return fraction_kernel(exercise, hedge_rate) + max(exercise - stock, 0)


@njit(cache=True)
def collar(stock: int, put_exercise: int, call_exercise: int, rate: int, hedge_rate: int) -> int:
    """Long stock, long put, short call above it: the protective put, at most ``rate`` of the call's exercise value."""
    return min(
        fraction_kernel(put_exercise, hedge_rate) + max(stock - put_exercise, 0), fraction_kernel(call_exercise, rate)
    )


@njit(cache=True)
def capped_value(stock: int, exercise: int) -> int:
    """Long stock under a short call counts at no more than the call's exercise value, for equity and maintenance."""
    return min(stock, exercise)


@njit(cache=True)
def covered_call(stock: int, exercise: int, rate: int) -> int:
    """Long stock, short call: the stock's rate on its capped value; nothing for the call."""
    return fraction_kernel(capped_value(stock, exercise), rate)


@njit(cache=True)
def covered_put(stock: int, exercise: int, plain: int) -> int:
    """Short stock, short put: the short stock's requirement plus the put's in-the-money amount."""
    return plain + max(exercise - stock, 0)
