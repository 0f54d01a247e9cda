"""References: where the figures of a profile come from, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import field_validator, model_serializer, model_validator
from typing_extensions import Self

from device_models.bibliography import keys, label
from device_models.effect import Description


class Reference(Description):
    """Where some settings come from; plain text stands for `{note: text}`."""

    what: str = ""
    """Settings that it is about, separated by commas: `programming, drift` or `dac.range`; empty: the profile."""
    cite: str | None = None
    """Key of a work in the packaged bibliography."""
    note: str = ""
    """What a reader should know of it: figure, conditions, who made a fit; or the source itself where nothing was
    published. It begins with "assumed" where nobody measured."""

    @model_validator(mode="before")
    @classmethod
    def _text(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"note": data}
        if not isinstance(data, Mapping | Reference):
            raise ValueError(f"must be text or {{what: ..., cite: ..., note: ...}} (got {data!r})")
        return data

    @field_validator("cite")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in keys():
            raise ValueError(
                f"no work has the key {value!r}; there are {', '.join(keys())}. Another source is given by `note`"
            )
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.cite and not self.note.strip():
            raise ValueError("must name a work (`cite`) or say something (`note`)")
        return self

    @model_serializer
    def _plain(self) -> Any:
        if not self.what and self.cite is None:
            return self.note
        return {key: value for key in ("what", "cite", "note") if (value := getattr(self, key))}

    @property
    def settings(self) -> tuple[str, ...]:
        """Paths of the settings that it is about."""
        return settings(self.what)

    @property
    def source(self) -> str:
        """The work and the note: `Joshi et al. (2020), doi:...; Fig. 3`."""
        return "; ".join(part for part in (label(self.cite) if self.cite else "", self.note) if part)

    @property
    def text(self) -> str:
        """All of it in a line: `drift: Joshi et al. (2020), doi:...`."""
        return f"{self.what.replace('_', ' ')}: {self.source}" if self.what else self.source

    @property
    def assumed(self) -> bool:
        """Whether it says that nobody measured."""
        return self.cite is None and self.note.lower().startswith("assumed")


def settings(what: str) -> tuple[str, ...]:
    """`"read noise, dac.range"` -> `("read_noise", "dac.range")`."""
    return tuple(part.strip().replace(" ", "_") for part in what.split(",") if part.strip())
