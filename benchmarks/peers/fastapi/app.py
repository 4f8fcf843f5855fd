"""FastAPI with ONNX Runtime in its thread pool: `uvicorn app:app`.

A handler that is no coroutine runs in a thread, as FastAPI's documentation advises for work that
blocks; the photo comes as an uploaded file, as in its tutorial on files.
"""

from typing import Annotated, Any

from fastapi import FastAPI, File
from handler import PhotoModel

app = FastAPI()
model = PhotoModel.of_environment()


@app.post("/predict")
def predict(image: Annotated[bytes, File()]) -> dict[str, Any]:
    return model.answer(image)


@app.get("/ready")
def ready() -> bool:
    return True
