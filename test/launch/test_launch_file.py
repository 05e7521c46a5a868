# SPDX-License-Identifier: Apache-2.0
"""The launch file: against a stand-in that records everywhere, against launch_ros where it is."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / 'launch' / 'esam2.launch.py'
ARGUMENTS = {
    'namespace',
    'name',
    'use_sim_time',
    'params_file',
    'image_topic',
    'image_transport',
    'model',
    'checkpoint',
    'device',
    'autostart',
    'use_respawn',
    'log_level',
    'rviz',
}
NAMES = {
    'launch': ['LaunchContext', 'LaunchDescription'],
    'launch.actions': ['DeclareLaunchArgument', 'OpaqueFunction'],
    'launch.conditions': ['IfCondition'],
    'launch.substitutions': [
        'EnvironmentVariable',
        'LaunchConfiguration',
        'PathJoinSubstitution',
    ],
    'launch_ros': [],
    'launch_ros.actions': ['Node'],
    'launch_ros.parameter_descriptions': ['ParameterValue'],
    'launch_ros.substitutions': ['FindPackageShare'],
}


class Recorded:
    """What something of launch was made with."""

    def __init__(self, *args, **named):
        self.args = args
        self.named = named

    def perform(self, context):
        """The value of a LaunchConfiguration in a context, here a dict."""
        return context[self.args[0]]


def load():
    """The launch file as a module."""
    spec = importlib.util.spec_from_file_location('esam2_launch_file', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded(monkeypatch):
    """The launch file on top of the stand-in."""
    for module_name, classes in NAMES.items():
        module = ModuleType(module_name)
        for name in classes:
            setattr(module, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)
    return load()


def declared(module):
    """The declared arguments by name."""
    actions = module.generate_launch_description().args[0]
    return {each.args[0]: each.named for each in actions if 'description' in each.named}


def started(module, **given):
    """The node and RViz for these arguments."""
    defaults = {name: each['default_value'] for name, each in declared(module).items()}
    return module.start({**defaults, **given})


def parameters(node):
    """Values that come after params_file: argument and type by parameter."""
    after = node.named['parameters'][1:]
    return {
        name: (value.args[0].args[0], value.named['value_type'])
        for each in after
        for name, value in each.items()
    }


def test_every_argument_is_there_and_described(recorded):
    arguments = declared(recorded)
    assert set(arguments) == ARGUMENTS
    for name, each in arguments.items():
        assert each['description'].endswith('.'), name
        if each.get('choices'):
            assert each['default_value'] in each['choices'], name


@pytest.mark.parametrize('argument', ['model', 'device', 'image_transport'])
def test_choices_are_those_of_the_parameters(recorded, argument):
    from esam2_ros.ros.settings import parameter_table

    parameter = {'model': 'model.name', 'device': 'model.device'}.get(argument, argument)
    allowed = parameter_table()[parameter][1].choices
    assert declared(recorded)[argument]['choices'] == ['', *allowed]


def test_without_arguments_the_file_decides(recorded):
    node = started(recorded)[0]
    assert [each.args for each in node.named['parameters']] == [('params_file',)]


@pytest.mark.parametrize(
    ('argument', 'value', 'parameter', 'kind'),
    [
        ('model', 'sam2.1_hiera_tiny', 'model.name', str),
        ('checkpoint', 'random', 'model.checkpoint', str),
        ('device', 'cpu', 'model.device', str),
        ('image_transport', 'compressed', 'image_transport', str),
        ('autostart', 'false', 'autostart', bool),
        ('use_sim_time', 'true', 'use_sim_time', bool),
    ],
)
def test_a_given_argument_becomes_a_parameter(recorded, argument, value, parameter, kind):
    node = started(recorded, **{argument: value})[0]
    assert parameters(node) == {parameter: (argument, kind)}


def test_parameters_exist_in_the_packaged_file(recorded):
    values = yaml.safe_load((ROOT / 'config' / 'esam2.yaml').read_text())
    known = values['/**']['ros__parameters']
    for _, parameter, _ in recorded.PARAMETERS:
        found = known
        for part in () if parameter == 'use_sim_time' else parameter.split('.'):
            assert part in found, parameter
            found = found[part]


@pytest.mark.parametrize(
    ('distribution', 'variable'),
    [
        ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
        ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
        ('', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ],
)
def test_fast_dds_profile(recorded, monkeypatch, distribution, variable):
    monkeypatch.setenv('ROS_DISTRO', distribution)
    environment = started(recorded)[0].named['additional_env']
    assert list(environment) == [variable]
    assert environment[variable].args == (variable,)
    path = environment[variable].named['default_value'].args[0]
    assert path[0].args == ('esam2_ros',)
    assert ROOT.joinpath(*path[1:]).is_file()


def test_remappings_and_rviz(recorded):
    node, rviz = started(recorded)
    assert [source for source, _ in node.named['remappings']] == ['image', 'image/compressed']
    assert node.named['executable'] == 'esam2_node'
    assert rviz.named['condition'].args[0].args == ('rviz',)


def test_with_launch_ros():
    pytest.importorskip('launch_ros', reason='launch_ros is not on PyPI: needs ROS 2')
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument

    module = load()
    description = module.generate_launch_description()
    arguments = [each for each in description.entities if isinstance(each, DeclareLaunchArgument)]
    assert {each.name for each in arguments} == ARGUMENTS
    context = LaunchContext()
    for each in arguments:
        if each.name != 'params_file':
            each.execute(context)
    context.launch_configurations.update(params_file='p.yaml', model='compact', autostart='false')
    node, _ = module.start(context)
    assert node.node_package == 'esam2_ros'
    assert node.node_executable == 'esam2_node'
