# SPDX-License-Identifier: Apache-2.0
"""Start the esam2 node: ros2 launch esam2_ros esam2.launch.py --show-args."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = (
    ('namespace', '', 'Namespace of the node.', None),
    ('name', 'esam2', 'Name of the node.', None),
    ('use_sim_time', 'false', 'Take the time from /clock.', ['true', 'false']),
    ('image_topic', 'image', 'Topic of the raw image; the compressed one is below it.', None),
    ('image_transport', 'raw', 'Raw or compressed images.', ['raw', 'compressed']),
    (
        'model',
        'compact',
        'Model that segments.',
        [
            'compact',
            'sam2.1_hiera_tiny',
            'sam2.1_hiera_small',
            'sam2.1_hiera_base_plus',
            'sam2.1_hiera_large',
        ],
    ),
    ('checkpoint', '', "Path of the weights; empty is the model's own.", None),
    ('device', 'auto', 'Where the model runs.', ['auto', 'cpu', 'cuda']),
    ('autostart', 'true', 'Configure and activate the node at once.', ['true', 'false']),
    ('use_respawn', 'false', 'Start the node again when it has died.', ['true', 'false']),
    (
        'log_level',
        'info',
        'What the node logs.',
        ['debug', 'info', 'warn', 'error', 'fatal'],
    ),
    ('rviz', 'false', 'Start RViz too.', ['true', 'false']),
)
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')


def shared(*parts: str) -> PathJoinSubstitution:
    """Path of a file that the package installs."""
    return PathJoinSubstitution([FindPackageShare('esam2_ros'), *parts])


def text(argument: str) -> ParameterValue:
    """A launch argument as a string parameter."""
    return ParameterValue(LaunchConfiguration(argument), value_type=str)


def flag(argument: str) -> ParameterValue:
    """A launch argument as a true or false parameter."""
    return ParameterValue(LaunchConfiguration(argument), value_type=bool)


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments, set the Fast DDS profile, start the node."""
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
    # What the user has set stays.
    profile = [
        SetEnvironmentVariable(
            name, EnvironmentVariable(name, default_value=shared('config', 'fastdds_shm.xml'))
        )
        for name in PROFILE_VARIABLES
    ]
    node = Node(
        package='esam2_ros',
        executable='esam2_node',
        namespace=LaunchConfiguration('namespace'),
        name=LaunchConfiguration('name'),
        output='screen',
        respawn=LaunchConfiguration('use_respawn'),
        respawn_delay=2.0,
        ros_arguments=['--log-level', LaunchConfiguration('log_level')],
        parameters=[
            LaunchConfiguration('params_file'),
            {
                'model.name': text('model'),
                'model.checkpoint': text('checkpoint'),
                'model.device': text('device'),
                'image_transport': text('image_transport'),
                'autostart': flag('autostart'),
                'use_sim_time': flag('use_sim_time'),
            },
        ],
        remappings=[
            ('image', LaunchConfiguration('image_topic')),
            ('image/compressed', [LaunchConfiguration('image_topic'), '/compressed']),
        ],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=LaunchConfiguration('namespace'),
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    return LaunchDescription([*arguments, *profile, node, rviz])
