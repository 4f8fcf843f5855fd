"""MLServer with a custom runtime: `mlserver start FOLDER`.

The photo goes as the V2 protocol has it in JSON, base64 in a tensor of BYTES, which MLServer's
codecs decode. A process for each processor (`parallel_workers`), a session of one thread in each.
"""

import json

from handler import PhotoModel
from mlserver import MLModel
from mlserver.codecs import Base64Codec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Photos(MLModel):
    async def load(self) -> bool:
        self.model = PhotoModel.of_environment()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (content,) = Base64Codec.decode_input(payload.inputs[0])
        answer = json.dumps(self.model.answer(content))
        return InferenceResponse(
            model_name=self.name, outputs=[StringCodec.encode_output("answer", [answer])]
        )
