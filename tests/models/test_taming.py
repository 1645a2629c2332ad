"""Frames and wide pictures of a VQGAN with its transformer: what they hang on, and how they are decoded."""

import itertools

import pytest
import torch

from models.gpt import GPT
from models.gpt import Sizes as GPTSizes
from models.taming import SLIDING, STREAMING, Decoding, Generator
from models.token_sampling import Choice
from models.vqgan import VQGAN, Sizes


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    vqgan = VQGAN(Sizes(16, 8, (1, 1, 2), 1, (4,), 8, 4, 13, 4))
    gpt = GPT(GPTSizes(codes=13, places=16, layers=2, heads=2, width=16))
    for parameter in gpt.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.2)
    vqgan.codebook.data *= 13
    return Generator(vqgan, gpt).eval().requires_grad_(False)


def test_a_frame_is_the_same_whoever_asks_for_it(generator):
    every = generator.frame_codes(3, 0, 6)
    assert torch.equal(generator.frame_codes(3, 4, 2), every[4:])
    assert not torch.equal(generator.frame_codes(4, 0, 6), every)
    images = generator.samples(3, 0, 6)
    assert images.shape == (6, 3, 16, 16)
    torch.testing.assert_close(generator.samples(3, 4, 1), images[4:5], rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="temperature"):
        generator.samples(3, 0, 1, truncation=0.7)


def test_wide_codes_hang_on_the_seed_alone_and_streamed_ones_not_on_the_width(generator):
    both = generator.wide_codes([5, 6], 11)
    assert both.shape == (2, 4, 11)
    assert torch.equal(generator.wide_codes([6], 11), both[1:])
    streamed = generator.wide_codes([5], 11, STREAMING)
    assert torch.equal(generator.wide_codes([5], 7, STREAMING), streamed[:, :, :7])
    assert not torch.equal(streamed, both[:1])


def test_the_transformer_chooses_as_it_is_told(generator):
    greedy = Generator(generator.vqgan, generator.gpt, Choice(top_k=1))
    assert torch.equal(greedy.frame_codes(0, 0, 1), greedy.frame_codes(9, 5, 1))


def test_frames_with_enough_context_are_those_of_the_whole_picture_and_with_less_are_not(generator):
    codes = generator.wide_codes([1], 12, SLIDING)
    whole = torch.cat(list(generator.decode_frames(codes, Decoding(None))), 3)
    enough = torch.cat(list(generator.decode_frames(codes, Decoding(12))), 3)
    little = torch.cat(list(generator.decode_frames(codes, Decoding(1))), 3)
    assert whole.shape == enough.shape == little.shape == (1, 3, 16, 48)
    torch.testing.assert_close(enough, whole, rtol=1e-3, atol=1e-4)
    alone = generator.vqgan.decode_codes(codes[:, :, 3:9])[..., 4:20]
    torch.testing.assert_close(little[..., 16:32], alone, rtol=1e-3, atol=1e-4)
    assert float((little - whole).abs().max()) > 1e-2


@pytest.mark.parametrize("context", [0, 2, 5])
def test_a_streamed_frame_is_that_of_the_wide_picture_and_shown_before_the_end(generator, context):
    frames = list(itertools.islice(generator.stream(7, Decoding(context)), 4))
    codes = generator.wide_codes([7], 4 * 4 + context, STREAMING)
    for at, frame in enumerate(frames):
        expected = generator.decode(codes[:, :, : (at + 1) * 4 + context], at * 4, 4, Decoding(context))
        torch.testing.assert_close(frame, expected[0], rtol=1e-3, atol=1e-4)
    strip = generator.panorama(7, 4, Decoding(context))
    torch.testing.assert_close(strip, torch.cat(frames, 2))
    with pytest.raises(ValueError, match="without end"):
        next(generator.stream(7, Decoding(None)))


def test_the_memory_of_a_wide_picture_is_known_at_the_published_sizes():
    with torch.device("meta"):
        published = Generator(VQGAN(Sizes()), GPT(GPTSizes()))
    assert published.wide_bytes == 256 * 128 * 24 * 2 * 1024 * 4  # 6.4 GB


def test_halves_that_do_not_fit_each_other_are_refused(generator):
    with pytest.raises(ValueError, match="14 of the transformer"):
        Generator(generator.vqgan, GPT(GPTSizes(14, 16, 1, 1, 4)))
    with pytest.raises(ValueError, match="16 places"):
        Generator(generator.vqgan, GPT(GPTSizes(13, 15, 1, 1, 4)))


def test_names_say_what_was_done():
    assert Decoding(8).name == "decoded with 8 columns of context"
    assert Decoding(None).name == "decoded whole"
    assert Choice(0.9, 100, 0.95).name == "temperature 0.9, top-k 100, top-p 0.95"
