import torch

from models.colour import STRIP_ROWS, adain, align, low_frequencies


def test_strips_change_no_value():
    content, style = torch.rand(2, 1, 3, 2 * STRIP_ROWS + 7, 5)
    expected = content - low_frequencies(content) + low_frequencies(style)
    torch.testing.assert_close(align(content, style), expected, atol=1e-6, rtol=0)


def test_adain_takes_mean_and_deviation_of_each_channel():
    content, style = torch.rand(1, 3, 20, 30), torch.rand(1, 3, 20, 30) * 0.3 + 0.1
    result = adain(content, style)
    torch.testing.assert_close(result.mean((2, 3)), style.mean((2, 3)))
    torch.testing.assert_close(result.std((2, 3)), style.std((2, 3)))


def test_adain_leaves_a_flat_picture_flat():
    result = adain(torch.full((1, 3, 8, 8), 0.4), torch.full((1, 3, 8, 8), 0.6))
    torch.testing.assert_close(result, torch.full((1, 3, 8, 8), 0.6))
