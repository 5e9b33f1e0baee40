"""A deterministic net behind a route of FastAPI, as one would write it by hand; `benchmarks.over_http` measures it.

`BARE_WEIGHTS` names a safetensors file with the weights of the LeNet-5.
"""

from __future__ import annotations

import os

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from safetensors.torch import load_file

from benchmarks.mnist import PIXEL_MAX
from benchmarks.peers.lenet import lenet5

torch.set_num_threads(int(os.environ["BARE_THREADS"]))
net = lenet5()
net.load_state_dict(load_file(os.environ["BARE_WEIGHTS"]))
app = FastAPI()


class Body(BaseModel):
    inputs: list[list[list[list[int]]]]


@app.post("/predict")
async def predict(body: Body) -> dict[str, list[list[float]]]:
    with torch.inference_mode():
        said = net(torch.tensor(body.inputs, dtype=torch.float32) / PIXEL_MAX).softmax(-1)
    return {"probabilities": said.tolist()}
