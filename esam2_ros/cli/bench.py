# SPDX-License-Identifier: Apache-2.0
"""`esam2 bench`: speed, arithmetic and the scene monitor, each measured beside its reference."""

import typer

from esam2_ros.cli.bench_compare import ablation
from esam2_ros.cli.bench_compare import targets
from esam2_ros.cli.bench_flops import flops
from esam2_ros.cli.bench_monitor import monitor
from esam2_ros.cli.bench_speed import speed

app = typer.Typer(no_args_is_help=True, help='Measure speed, arithmetic and the scene monitor.')
app.command()(speed)
app.command()(targets)
app.command()(ablation)
app.command()(flops)
app.command()(monitor)
