from processors.bars.ordinals import NEW_NUMBERS_US, Ordinals

T0 = 1_781_265_600_000_000


def test_an_ordinal_is_the_id_also_of_a_late_trade():
    ordinals = Ordinals()
    assert ordinals.last_id == 0
    assert [ordinals.place(one, T0 + one) for one in (0, 7, 9, 8)] == [0, 7, 9, 8]
    assert (ordinals.last_id, ordinals.newest_us) == (9, T0 + 9)


def test_lower_ids_of_much_later_trades_go_on_above_and_are_not_contiguous():
    ordinals = Ordinals()
    ordinals.place(500, T0)
    assert ordinals.place(3, T0 + NEW_NUMBERS_US) == 3
    assert ordinals.place(0, T0 + NEW_NUMBERS_US + 1) == 502
    assert ordinals.place(2, T0 + NEW_NUMBERS_US + 2) == 504
    assert ordinals.place(1, T0 + NEW_NUMBERS_US + 1) == 503
    assert ordinals.last_id == 2
