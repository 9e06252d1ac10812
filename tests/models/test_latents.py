import pytest
import torch

from models.latents import pack, position_ids, unpack


def test_unpack_undoes_pack_on_a_grid_that_is_not_square():
    z = torch.randn(2, 16, 6, 10)
    torch.testing.assert_close(unpack(pack(z), 3, 5), z, atol=0, rtol=0)


def test_a_value_lands_at_channel_times_four_plus_row_times_two_plus_column():
    z = torch.zeros(1, 16, 4, 4)
    z[0, 3, 2, 1] = 1  # token (1, 0), cell row 0, column 1
    packed = pack(z)
    assert packed[0, 2, 3 * 4 + 0 * 2 + 1] == 1
    assert packed.sum() == 1


@pytest.mark.parametrize("shape", [(1, 16, 3, 4), (1, 16, 4, 3)])
def test_an_odd_latent_is_refused(shape):
    with pytest.raises(ValueError, match="pad the picture"):
        pack(torch.zeros(shape))


def test_a_wrong_grid_is_refused():
    with pytest.raises(ValueError, match="3x3"):
        unpack(torch.zeros(1, 8, 64), 3, 3)


def test_positions_run_row_by_row():
    assert position_ids(2, 3).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2]]
