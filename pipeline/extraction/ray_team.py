"""A team of Ray workers that outlives its members: it hands out shards, and replaces workers that die."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bottleneck_features import features
from bottleneck_features.pipeline.errors import PipelineError

RETRIES = 5  # of one shard, or of starting a worker without success in between


class Team:
    """Workers that each prepare themselves and then extract one shard at a time.

    Ray's own restarts are not used: the shard of a dead actor would wait for that actor to come back, for ever where its
    node is gone, while others are idle.

    Args:
        ray: the connected `ray` module.
        start: makes a worker, an actor with a method `extract(shard)`.
        prepare: calls the first task of a worker; returns Ray's reference to its answer.
        size: how many workers.

    Attributes:
        answers: what workers have answered to `prepare`.
        deaths: how many workers have died.
    """

    def __init__(self, ray: Any, start: Callable[[], Any], prepare: Callable[[Any], Any], size: int) -> None:
        self._ray, self._start, self._prepare = ray, start, prepare
        self.answers: list[Any] = []
        self.deaths = 0
        self._failures: Counter[features.Shard | None] = Counter()
        self._tasks: dict[Any, tuple[Any, features.Shard | None]] = {}
        self._ended: list[Any] = []
        self._idle: list[Any] = []
        for _ in range(size):
            self._hire()

    def first_answer(self) -> Any:
        """Wait until one worker is ready, and return its answer to `prepare`."""
        while not self.answers:
            self._next()
        return self.answers[0]

    def work_off(
        self, shards: Sequence[features.Shard], is_finished: Callable[[features.Shard], bool]
    ) -> Iterator[tuple[features.Shard, Any]]:
        """Have shards extracted, each by whoever is free.

        Args:
            shards: what is to be done, in the order in which it is handed out.
            is_finished: whether a shard is on disk although the worker that had it died.

        Yields:
            A shard that is on disk, and what its worker answered; None if the worker died between the two.

        Raises:
            PipelineError: one shard, or the start, has cost `RETRIES` workers their life.
            Whatever a worker raises.
        """
        waiting = deque(shards)
        while waiting or any(shard for _, shard in self._tasks.values()):
            while waiting and self._idle:
                worker, shard = self._idle.pop(), waiting.popleft()
                self._tasks[worker.extract.remote(shard)] = (worker, shard)
            done, answer, died = self._next()
            if done and died and not is_finished(done):
                waiting.appendleft(done)
            elif done:
                yield done, answer

    def _hire(self) -> None:
        worker = self._start()
        self._tasks[self._prepare(worker)] = (worker, None)

    def _next(self) -> tuple[features.Shard | None, Any, bool]:
        """Wait for any task: its shard (None for a preparation), its answer, and whether its worker died."""
        if not self._ended:  # looking at all tasks takes long where there are thousands: take whatever has ended
            self._ray.wait(list(self._tasks))
            self._ended, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        reference = self._ended.pop()
        worker, shard = self._tasks.pop(reference)
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            self._replace(worker, shard, error)
            return shard, None, True
        self._failures.pop(shard, None)
        self._idle.append(worker)
        if shard is None:
            self.answers.append(answer)
        return shard, answer, False

    def _replace(self, worker: Any, shard: features.Shard | None, error: Exception) -> None:
        self._ray.kill(worker)  # it may only be out of reach
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        if getattr(error, "actor_init_failed", False):
            raise PipelineError(
                f"A worker could not be started ({lines[-1]}). Install the version of bottleneck-features that runs here, "
                "with its extra `ray`, on every node."
            )
        self.deaths += 1
        self._failures[shard] += 1
        if self._failures[shard] >= RETRIES:
            at = f"with shard {shard.file}" if shard else "before they were ready"
            raise PipelineError(
                f"{RETRIES} workers died {at}. Ray says of the last one: {lines[0]} "
                "Every finished shard is kept: the same command continues. Workers that run out of memory need fewer of "
                "them a node (--workers), or a lower compute.batch_size."
            )
        self._hire()
