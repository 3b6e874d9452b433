import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.conftest import make_curves
from tlclass.inputs.batches import CurveDataset, LengthBucketSampler, in_batches
from tlclass.inputs.encoding import encode, encoding_from
from tlclass.lightcurves.passbands import Passbands

ZTF = Passbands.from_mapping({"ztfg": {"wavelength": 0.4746}, "ztfr": {"wavelength": 0.6366}})
LENGTHS = torch.from_numpy(np.random.default_rng(0).integers(1, 200, 1000))


@pytest.fixture
def dataset() -> CurveDataset:
    encoded = encode(make_curves(50), ZTF, encoding_from({"name": "paper"}), ["mwebv"])
    return CurveDataset(encoded, np.arange(50) % 3)


def test_a_batch_holds_each_light_curve_and_zeros_after_it(dataset: CurveDataset) -> None:
    curves = make_curves(50)
    x = encode(curves, ZTF, encoding_from({"name": "paper"})).x
    index = torch.tensor([7, 3, 3, 49])
    batch = dataset[index]
    assert batch.x.shape[1] == curves.lengths[index.numpy()].max()  # padded to its own longest
    for row, i in enumerate(index.tolist()):
        n = curves.lengths[i]
        assert np.array_equal(batch.x[row, :n], x[curves.offsets[i] : curves.offsets[i + 1]])
        assert (batch.x[row, n:] == 0).all()
    assert batch.label.tolist() == (index % 3).tolist()
    assert np.array_equal(batch.metadata[:, 0], curves.mwebv[index.numpy()].astype(np.float32))


def test_labels_are_minus_one_where_unknown() -> None:
    encoded = encode(make_curves(4), ZTF, encoding_from({"name": "paper"}))
    assert CurveDataset(encoded)[torch.arange(4)].label.tolist() == [-1] * 4


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1000])
@pytest.mark.parametrize("batch_size", [1, 32, 2000])
def test_each_epoch_visits_every_object_once(n: int, batch_size: int) -> None:
    for sampler in (
        LengthBucketSampler(LENGTHS[:n], batch_size, 0),
        in_batches(torch.argsort(LENGTHS[:n]), batch_size),
    ):
        batches = list(sampler)
        assert len(batches) == len(sampler) == -(-n // batch_size)
        assert sorted(torch.cat(batches).tolist()) == list(range(n))


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = LengthBucketSampler(LENGTHS, 32, seed)
        sampler.set_epoch(epoch)
        return [int(i) for batch in sampler for i in batch]

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_buckets_leave_little_padding_and_stay_random() -> None:
    sampler = LengthBucketSampler(LENGTHS, 32, 0)
    batches = list(sampler)
    padded = sum(int(LENGTHS[batch].max()) * len(batch) for batch in batches)
    assert padded < 1.15 * int(LENGTHS.sum())
    means = torch.stack([LENGTHS[batch].float().mean() for batch in batches])
    assert abs(float(torch.corrcoef(torch.stack([means, torch.arange(len(means)).float()]))[0, 1])) < 0.5  # not sorted


def test_lightning_and_torch_take_the_sampler_as_it_is(dataset: CurveDataset) -> None:
    loader = DataLoader(dataset, sampler=LengthBucketSampler(dataset.lengths, 16, 0), batch_size=None)
    assert sum(len(batch.label) for batch in loader) == 50 and len(loader) == 4


def test_nothing_to_evaluate_is_no_batch() -> None:
    assert list(in_batches(torch.empty(0, dtype=torch.int64), 8)) == []


def test_processes_share_each_batch_and_see_every_object_once() -> None:
    lengths = torch.arange(1, 66)
    whole = list(LengthBucketSampler(lengths, 32, 0))
    shares = [list(LengthBucketSampler(lengths, 32, 0, rank, 2)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == len(whole) == 3
    for batch, *parts in zip(whole, *shares, strict=True):
        if len(batch) >= 2:
            assert sorted(torch.cat(parts).tolist()) == sorted(batch.tolist())
        else:  # both compute it; the mean of their gradients is the batch's own
            assert all(torch.equal(part, batch) for part in parts)
    seen = {int(index) for parts in shares for batch in parts for index in batch}
    assert seen == set(range(65))


def test_balanced_epochs_have_every_class_equally_often_and_the_same_length() -> None:
    label = torch.from_numpy(np.random.default_rng(1).choice([0, 1, 4], 1000, p=[0.9, 0.08, 0.02]))
    sampler = LengthBucketSampler(LENGTHS, 32, 0, balance=label)
    seen = [torch.cat(list(sampler))]
    assert len(seen[0]) == 1000 and len(list(sampler)) == len(sampler)
    for epoch in range(1, 20):
        sampler.set_epoch(epoch)
        seen.append(torch.cat(list(sampler)))
    counts = torch.bincount(label[torch.cat(seen)], minlength=5) / 20_000
    assert counts.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0, 1 / 3], abs=0.01)
    assert len(torch.unique(torch.cat(seen))) > 980  # within a class all objects have their turn
    rare = torch.bincount(torch.cat(seen), minlength=1000)[label == 4]
    assert rare.min() > 0.6 * rare.float().mean()
    assert not torch.equal(seen[0].sort().values, seen[1].sort().values)
    sampler.set_epoch(0)
    assert torch.equal(torch.cat(list(sampler)), seen[0])


def test_balanced_batches_are_bucketed_and_shared_as_others() -> None:
    label = torch.arange(1000) % 3
    whole = list(LengthBucketSampler(LENGTHS, 32, 0, balance=label))
    assert sum(int(LENGTHS[batch].max()) * len(batch) for batch in whole) < 1.15 * int(LENGTHS[torch.cat(whole)].sum())
    shares = [list(LengthBucketSampler(LENGTHS, 32, 0, rank, 2, label)) for rank in range(2)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(torch.cat(parts).tolist()) == sorted(batch.tolist())
