"""How pictures of a shared screen are received."""

from services.gateway.reception import LEAST_BITRATE, EnoughForScreens


def test_a_screen_that_rests_may_send_a_whole_page_at_once() -> None:
    estimator = EnoughForScreens()
    # A small packet each fifth of a second, which comes when it is sent; the clock has 2^18 steps a second.
    told = [estimator.add(200 * n, int(0.2 * n * 2**18) % 2**24, 120, 1) for n in range(100)]
    allowed = [each[0] for each in told if each is not None]
    assert allowed and min(allowed) >= LEAST_BITRATE
