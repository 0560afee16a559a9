import numpy as np
import torch

from astra.attention.masks import may_attend
from astra.attention.segments import Kind, concatenate, context_ids, query_ids, sequence_ids
from astra.evaluation.pictures.attention_maps import attention_maps
from astra.evaluation.pictures.mask import mask_picture
from astra.evaluation.pictures.style import png
from astra.evaluation.pictures.token_axes import reading_order, segment_ends, token_label

L, M, N, T = 4, 2, 3, 5
CONTEXT = context_ids(L, M, N, T)
ROWS = concatenate(CONTEXT, query_ids(N, T))


def uniform_attention() -> torch.Tensor:
    """Two heads that read all they may, equally."""
    allowed = may_attend(ROWS, CONTEXT).float()
    return (allowed / allowed.sum(-1, keepdim=True)).expand(1, 2, -1, -1)


def test_queries_go_back_between_states_and_actions() -> None:
    ordered, literal = ROWS.select(reading_order(ROWS)), sequence_ids(L, M, N, T, N)
    assert torch.equal(ordered.kind, literal.kind)
    assert torch.equal(ordered.timestep, literal.timestep)
    assert torch.equal(ordered.slot, literal.slot)


def test_ticks_stand_at_the_last_token_of_each_segment_as_the_paper_writes_it() -> None:
    ids = sequence_ids(2, 1, 2, 2, 2)
    assert segment_ends(ids).tolist() == [1, 2, 4, 6, 7, 9, 11]
    assert token_label(Kind.PROMPT, -1, 1) == "$p_{2}$"
    assert token_label(Kind.ACTION, 0, 1) == "$a_{2,1}$"


def test_the_mask_picture_has_the_color_of_what_is_read_where_it_may_be_read() -> None:
    figure = mask_picture(may_attend(ROWS, CONTEXT), ROWS, CONTEXT)
    (axes,) = figure.axes
    picture = np.asarray(axes.images[0].get_array())
    allowed = may_attend(sequence_ids(L, M, N, T, N), CONTEXT).numpy()
    assert picture.shape == (*allowed.shape, 3)
    masked = np.ptp(picture, axis=-1) == 0
    of_prompt = (CONTEXT.kind == Kind.PROMPT).numpy()  # gray, as what is masked
    assert (masked == ~allowed)[:, ~of_prompt].all()
    assert len({tuple(picture[row, 0]) for row in range(L)}) == 1 < len({tuple(cell) for cell in picture[0, :L]})
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[:3] == ["$p_{4}$", "$s_{2,1}$", "$a_{3,1}$"]
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "$q_{3,1}$"
    assert png(figure).startswith(b"\x89PNG")


def test_attention_maps_show_the_chosen_layer_head_by_head_in_reading_order() -> None:
    weights = uniform_attention()
    figure = attention_maps([weights, weights.square()], ROWS, CONTEXT, layer=0)
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(pictures) == 2
    np.testing.assert_allclose(pictures[0], weights[0, 0][reading_order(ROWS)].numpy())
    assert "layer 1 of 2" in figure.get_suptitle()
    assert "token 2 of the state at timestep 1" in figure.get_supxlabel()
    assert min(float(label.get_fontsize()) for axes in figure.axes[:2] for label in axes.get_xticklabels()) >= 8
    assert png(figure).startswith(b"\x89PNG")


def test_a_long_trajectory_is_labeled_sparsely() -> None:
    ids = context_ids(3, 1, 1, 60)
    figure = mask_picture(may_attend(ids, ids), ids, ids)
    assert len(figure.axes[0].get_xticks()) <= 40
