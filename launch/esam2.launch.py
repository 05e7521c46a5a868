# SPDX-License-Identifier: Apache-2.0
"""Start the esam2 node: ros2 launch esam2_ros esam2.launch.py --show-args."""

import os

from launch import LaunchContext
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

AS_IN_FILE = ' Empty: as in params_file.'
MODELS = [
    'compact',
    'sam2.1_hiera_tiny',
    'sam2.1_hiera_small',
    'sam2.1_hiera_base_plus',
    'sam2.1_hiera_large',
]
SWITCH = ['true', 'false']
LEVELS = ['debug', 'info', 'warn', 'error', 'fatal']
ARGUMENTS = (
    ('namespace', '', 'Namespace of the node.', None),
    ('name', 'esam2', 'Name of the node.', None),
    ('use_sim_time', '', 'Take the time from /clock.' + AS_IN_FILE, ['', *SWITCH]),
    ('image_topic', 'image', 'Topic of the raw image; the compressed one is below it.', None),
    ('image_transport', '', 'Kind of images.' + AS_IN_FILE, ['', 'raw', 'compressed']),
    ('model', '', 'Model that segments.' + AS_IN_FILE, ['', *MODELS]),
    ('checkpoint', '', 'Path of the weights; random: untrained ones.' + AS_IN_FILE, None),
    ('device', '', 'Where the model runs.' + AS_IN_FILE, ['', 'auto', 'cpu', 'cuda']),
    ('autostart', '', 'Configure and activate at once.' + AS_IN_FILE, ['', *SWITCH]),
    ('use_respawn', 'false', 'Start the node again when it has died.', SWITCH),
    ('log_level', 'info', 'What the node logs.', LEVELS),
    ('rviz', 'false', 'Start RViz too.', SWITCH),
)
# Argument, parameter of the node, type.
PARAMETERS = (
    ('model', 'model.name', str),
    ('checkpoint', 'model.checkpoint', str),
    ('device', 'model.device', str),
    ('image_transport', 'image_transport', str),
    ('autostart', 'autostart', bool),
    ('use_sim_time', 'use_sim_time', bool),
)


def shared(*parts: str) -> PathJoinSubstitution:
    """Path of a file that the package installs."""
    return PathJoinSubstitution([FindPackageShare('esam2_ros'), *parts])


def environment() -> dict[str, EnvironmentVariable]:
    """The Fast DDS settings for large images; what the user has set stays."""
    # Fast DDS 3 of Kilted warns about the name that the one of Jazzy reads.
    jazzy = os.environ.get('ROS_DISTRO') == 'jazzy'
    name = 'FASTRTPS_DEFAULT_PROFILES_FILE' if jazzy else 'FASTDDS_DEFAULT_PROFILES_FILE'
    return {name: EnvironmentVariable(name, default_value=shared('config', 'fastdds_shm.xml'))}


def start(context: LaunchContext) -> list[Node]:
    """The node, and RViz if wanted.

    Only arguments that were given become parameters: the others would hide those of params_file.
    """
    given = {
        parameter: ParameterValue(LaunchConfiguration(argument), value_type=kind)
        for argument, parameter, kind in PARAMETERS
        if LaunchConfiguration(argument).perform(context)
    }
    node = Node(
        package='esam2_ros',
        executable='esam2_node',
        namespace=LaunchConfiguration('namespace'),
        name=LaunchConfiguration('name'),
        output='screen',
        respawn=LaunchConfiguration('use_respawn'),
        respawn_delay=2.0,
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        parameters=[LaunchConfiguration('params_file'), *([given] if given else [])],
        remappings=[
            ('image', LaunchConfiguration('image_topic')),
            ('image/compressed', [LaunchConfiguration('image_topic'), '/compressed']),
        ],
        additional_env=environment(),
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=LaunchConfiguration('namespace'),
        condition=IfCondition(LaunchConfiguration('rviz')),
        additional_env=environment(),
    )
    return [node, rviz]


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in ARGUMENTS
    ]
    arguments.append(
        DeclareLaunchArgument(
            'params_file',
            default_value=shared('config', 'esam2.yaml'),
            description='Parameters of the node; the arguments here come before it.',
        )
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
