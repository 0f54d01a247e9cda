"""`analogsim bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def bench(
    cases: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CASE]...", help="mvm, parts, step, populations, growth, start; all unless named."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu or cuda.")] = "cpu",
    quick: Annotated[bool, typer.Option("--quick", help="Fewer sizes, fewer turns.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for machine and rows.", dir_okay=False)] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of the CPU; torch's choice unless given.")
    ] = None,
) -> None:
    """Measure reads and learning steps beside ideal torch, in turn in one process, and print ratios."""
    import torch
    from rich.console import Console

    from analogsim._files import require_writable, write_text
    from analogsim.bench import Row, chosen, head, tables
    from analogsim.study.run import choose_device

    wanted, on = chosen(cases or [], quick), choose_device(device)
    if out is not None:
        require_writable(out, "--out")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    console, told = Console(), Console(stderr=True)
    console = console if console.is_terminal else Console(width=120)
    try:
        data, rows = head(on), list[Row]()
        console.print(
            f"{data['hardware']}, {data['threads']} threads, torch {data['versions']['torch']}; loops "
            f"{'compiled' if data['compiled_loops'] else 'not compiled'}, "
            f"{'fast' if data['matrix_units'] else 'no fast'} products of bytes",
            highlight=False,
            soft_wrap=True,
        )
        for case in wanted:
            for row in case.rows(on):
                rows.append(row)
                told.print(f"{row.case} {len(rows)}: {row.what}, ratio {row.ratio:.3g}", highlight=False)
    finally:
        torch.set_num_threads(before)
    for table in tables(rows):
        console.print(table)
    if out is not None:
        held = {"head": data, "rows": [row.to_data() for row in rows]}
        write_text(out, json.dumps(held, indent=1, allow_nan=False) + "\n")
        console.print(f"rows: {out}", soft_wrap=True, highlight=False)
