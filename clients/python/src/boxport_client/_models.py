"""The models of a service, and the versions of them that are tried on live traffic."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from boxport_client._api import Api
from boxport_client._model_info import ModelInfo
from boxport_client._rollout import Rollout, canary_order


class Models:
    """`Client.models`: called, it lists them; its methods need a key with the scope admin, but for
    `rollout`."""

    def __init__(self, api: Api, drive: Callable[..., Any]) -> None:
        self._api, self._drive = api, drive

    def __call__(self) -> list[ModelInfo]:
        """Every model of the service."""
        models: list[ModelInfo] = self._drive(self._api.models())
        return models

    def shadow(self, model: str, share: float) -> Rollout:
        """Run copies of a share of the requests on a version, in place of the model's last rollout.

        model: name/version. share: above 0, at most 1.

        Returns once the version is loaded. Raises ApiError, ConnectionFailed or RequestTimedOut.
        """
        return self._given(self._api.start_rollout(model, "shadow", {"share": share}))

    def canary(
        self,
        model: str,
        share: float | None = None,
        *,
        schedule: Sequence[float] | None = None,
        step_seconds: float | None = None,
        sticky: str | None = None,
        compare: float | None = None,
        guard: Mapping[str, float | None] | None = None,
    ) -> Rollout:
        """Have a version answer a share of the requests; see `shadow`.

        schedule: shares one after the other, in place of ``share``; then it is promoted.
        step_seconds: how long each lasts; the service's default is 600.
        sticky: such as "header X-User", so that each user has one version.
        compare: share of the other requests that it runs too, to be compared.
        guard: bounds past which it goes back by itself: ``errors``, ``p99_ratio``, ``p99_ms``,
            ``disagreement``, ``min_samples``; None takes a bound of p99 away.
        """
        order = canary_order(share, schedule, step_seconds, sticky, compare, guard)
        return self._given(self._api.start_rollout(model, "canary", order))

    def rollout(self, model: str) -> Rollout:
        """How a version does that is, or was, on trial; raises InvalidRequest if it never was."""
        return self._given(self._api.rollout(model))

    def promote(self, model: str) -> Rollout:
        """End a version's trial: from now on the model's name means it."""
        return self._given(self._api.end_rollout(model, "promote"))

    def abort(self, model: str) -> Rollout:
        """End a version's trial: it answers nobody that does not name it."""
        return self._given(self._api.end_rollout(model, "abort"))

    def _given(self, flow: Any) -> Rollout:
        rollout: Rollout = self._drive(flow)
        return rollout


class AsyncModels:
    """`AsyncClient.models`; see `Models`."""

    def __init__(self, api: Api, drive: Callable[..., Awaitable[Any]]) -> None:
        self._api, self._drive = api, drive

    async def __call__(self) -> list[ModelInfo]:
        """See `Models`."""
        models: list[ModelInfo] = await self._drive(self._api.models())
        return models

    async def shadow(self, model: str, share: float) -> Rollout:
        """See `Models.shadow`."""
        return await self._given(self._api.start_rollout(model, "shadow", {"share": share}))

    async def canary(
        self,
        model: str,
        share: float | None = None,
        *,
        schedule: Sequence[float] | None = None,
        step_seconds: float | None = None,
        sticky: str | None = None,
        compare: float | None = None,
        guard: Mapping[str, float | None] | None = None,
    ) -> Rollout:
        """See `Models.canary`."""
        order = canary_order(share, schedule, step_seconds, sticky, compare, guard)
        return await self._given(self._api.start_rollout(model, "canary", order))

    async def rollout(self, model: str) -> Rollout:
        """See `Models.rollout`."""
        return await self._given(self._api.rollout(model))

    async def promote(self, model: str) -> Rollout:
        """See `Models.promote`."""
        return await self._given(self._api.end_rollout(model, "promote"))

    async def abort(self, model: str) -> Rollout:
        """See `Models.abort`."""
        return await self._given(self._api.end_rollout(model, "abort"))

    async def _given(self, flow: Any) -> Rollout:
        rollout: Rollout = await self._drive(flow)
        return rollout
