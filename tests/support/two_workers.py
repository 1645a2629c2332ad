"""Work that two processes share, each of a team of two. (Here, for started processes cannot import test modules.)"""

from __future__ import annotations

import functools
from pathlib import Path

import tiny
import torch
import torch.multiprocessing

from benchmarks import runs
from benchmarks.execution import Execution
from benchmarks.pictures import Pictures
from benchmarks.taming_training import Training as TamingTraining
from benchmarks.team import Team
from benchmarks.training import Training

CPU = torch.device("cpu")


def trained(model: str, steps: int, execution: Execution, **changed: object) -> Training:
    torch.set_num_threads(1)
    recipe = tiny.recipe(model, batch=8, images=8 * max(1, steps), path_every=2, r1_every=4, **changed)
    training = Training(recipe, tiny.images(), CPU, execution)
    for parameter in training.generator.parameters():
        if parameter.ndim == 0:
            parameter.data.fill_(0.1)  # else noise would have no part in it
    for _ in range(steps):
        training.advance()
    return training


def weights(training: Training) -> dict[str, torch.Tensor]:
    tensors, _ = training.state()
    return {name: tensor.clone() for name, tensor in tensors.items()}


def twenty_steps(team: Team, model: str) -> dict[str, torch.Tensor]:
    return weights(trained(model, 20, Execution(team), precision="float64"))


def first_gradients(team: Team, model: str) -> dict[str, torch.Tensor]:
    """Of every phase of the first step, as the optimisers get them."""
    found: dict[str, torch.Tensor] = {}
    training = trained(model, 0, Execution(team))
    for name, optimiser in training.optimisers.items():

        def note(optimiser, args, kwargs, name=name):
            for at, parameter in enumerate(optimiser.param_groups[0]["params"]):
                found[f"{name} {len(found)} {at}"] = parameter.grad.clone()

        optimiser.register_step_pre_hook(note)
    training.advance()
    assert len(found) == 2 * sum(len(one.param_groups[0]["params"]) for one in training.optimisers.values())
    return found


def trained_for_no_time(team: Team, run: Path) -> dict[str, torch.Tensor]:
    """A run whose hours are over at once, and how many images it has seen."""
    torch.set_num_threads(1)
    recipe = tiny.recipe("stylegan2", batch=8, images=8 * 1000, hours=1e-9)
    pictures = Pictures(tiny.images(), "tiny", "", "0" * 64, "0" * 64)
    found = runs.train(recipe, pictures, run, CPU, execution=Execution(team))
    return {"images": torch.tensor(found.images)}


def taming_trained(steps: int, execution: Execution, **changed: object) -> TamingTraining:
    torch.set_num_threads(1)
    recipe = tiny.recipe("taming", batch=8, images=8 * max(1, steps), **changed)
    training = TamingTraining(recipe, tiny.images(), CPU, execution)
    for _ in range(steps):
        training.advance()
    return training


def taming_steps(team: Team) -> dict[str, torch.Tensor]:
    training = taming_trained(12, Execution(team), precision="float64")
    return {name: tensor.clone() for name, tensor in training.state()[0].items()}


def by_two(work: functools.partial) -> dict[str, torch.Tensor]:
    """What `work(team)` finds in the first of two processes that work together."""
    context = torch.multiprocessing.get_context("spawn")
    store = torch.distributed.TCPStore("127.0.0.1", 0, 2, is_master=True, wait_for_workers=False)
    queue = context.Queue()
    members = [context.Process(target=_member, args=(rank, work, store.port, queue)) for rank in (0, 1)]
    for member in members:
        member.start()
    found = queue.get(timeout=240)
    for member in members:
        member.join(60)
        assert member.exitcode == 0
    return {name: torch.from_numpy(array) for name, array in found.items()}


def _member(rank: int, work: functools.partial, port: int, queue: torch.multiprocessing.Queue) -> None:
    store = torch.distributed.TCPStore("127.0.0.1", port, 2, is_master=False)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found = work(Team(rank, 2))
    if rank == 0:
        queue.put({name: tensor.numpy() for name, tensor in found.items()})
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
