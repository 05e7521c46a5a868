# SPDX-License-Identifier: Apache-2.0
"""The `sam2` package's own video predictor as the yardstick, made responsive and streamable."""

import copy
from collections import OrderedDict

import sam2.sam2_video_predictor as stock
import torch
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from esam2_ros.bench.sharpen import sharpen

__all__ = ['StockStream', 'keep_memories_in_fp32', 'predictor', 'sharpen']


def predictor(model: SAM2Base, corrections_are_prompts: bool = False) -> stock.SAM2VideoPredictor:
    """Stock's predictor with a copy of the weights of `model`."""
    twin = copy.deepcopy(model)
    twin.__class__ = stock.SAM2VideoPredictor
    twin.fill_hole_area = 0
    twin.non_overlap_masks = False
    twin.clear_non_cond_mem_around_input = False
    twin.add_all_frames_to_correct_as_cond = corrections_are_prompts
    return twin


def keep_memories_in_fp32(monkeypatch) -> None:
    """Stock rounds its memories to bf16, and then is not stable against itself."""

    class Float32Torch:
        bfloat16 = torch.float32

        def __getattr__(self, name):
            return getattr(torch, name)

    monkeypatch.setattr(stock, 'torch', Float32Torch())


class StockStream:
    """Runs the predictor frame by frame over normalised tensors [n, 3, S, S]."""

    def __init__(self, twin: stock.SAM2VideoPredictor, frames: Tensor) -> None:
        self.twin = twin
        side = twin.image_size
        self.state = {
            'images': frames,
            'num_frames': len(frames),
            'offload_video_to_cpu': False,
            'offload_state_to_cpu': False,
            'video_height': side,
            'video_width': side,
            'device': torch.device('cpu'),
            'storage_device': torch.device('cpu'),
            'constants': {},
            'obj_id_to_idx': OrderedDict(),
            'obj_idx_to_id': OrderedDict(),
            'obj_ids': [],
            **{
                name: {}
                for name in (
                    'point_inputs_per_obj',
                    'mask_inputs_per_obj',
                    'cached_features',
                    'output_dict_per_obj',
                    'temp_output_dict_per_obj',
                    'frames_tracked_per_obj',
                )
            },
        }

    def prompt(self, frame: int, target: int, **prompt) -> Tensor:
        """Prompt a target; returns its mask logits [S/4, S/4]."""
        if 'mask' in prompt:
            self.twin.add_new_mask(self.state, frame, target, **prompt)
        else:
            self.twin.add_new_points_or_box(self.state, frame, target, **prompt)
        held = self.state['temp_output_dict_per_obj'][self._row(target)]
        for outputs in held.values():
            if frame in outputs:
                return outputs[frame]['pred_masks'][0, 0]
        raise AssertionError('stock stored no output')

    def track(self, frame: int) -> dict[int, Tensor]:
        """Track every target on a frame; returns mask logits [S/4, S/4] by target."""
        for _ in self.twin.propagate_in_video(
            self.state, start_frame_idx=frame, max_frame_num_to_track=0
        ):
            pass
        return {
            target: self.outputs(target, 'non_cond')[frame]['pred_masks'][0, 0]
            for target in self.state['obj_ids']
            if frame in self.outputs(target, 'non_cond')
        }

    def outputs(self, target: int, kind: str) -> dict[int, dict]:
        """Stored outputs of a target by frame; `kind` is cond or non_cond."""
        return self.state['output_dict_per_obj'][self._row(target)][f'{kind}_frame_outputs']

    def _row(self, target: int) -> int:
        return self.state['obj_id_to_idx'][target]
