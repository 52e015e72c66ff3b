"""What every value is: strict and frozen; and the words that several of them use."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Split = Literal["train", "validation", "test"]
Style = Literal["plain", "instruction", "chat", "fim"]
ExecStatus = Literal["passed", "failed", "error", "timeout", "memory", "output", "signal", "compile_error"]
Status = ExecStatus | Literal["scored", "fault"]


class Value(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)
