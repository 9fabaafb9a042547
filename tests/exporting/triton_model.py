"""Reads `config.pbtxt` as Triton does: with the messages of its `model_config.proto`.

https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

OPTIONAL, REPEATED = 1, 3
INT32, INT64, UINT64, STRING, MESSAGE, ENUM = 5, 3, 4, 9, 11, 14
TYPES = ("TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_FP16", "TYPE_FP32")
TENSOR = [
    ("name", STRING, OPTIONAL, ""),
    ("data_type", ENUM, OPTIONAL, "DataType"),
    ("dims", INT64, REPEATED, ""),
    ("reshape", MESSAGE, OPTIONAL, "ModelTensorReshape"),
]
MESSAGES = {
    "ModelTensorReshape": [("shape", INT64, REPEATED, "")],
    "ModelInput": TENSOR,
    "ModelOutput": TENSOR,
    "ModelDynamicBatching": [("max_queue_delay_microseconds", UINT64, OPTIONAL, "")],
    "ModelConfig": [
        ("name", STRING, OPTIONAL, ""),
        ("backend", STRING, OPTIONAL, ""),
        ("max_batch_size", INT32, OPTIONAL, ""),
        ("input", MESSAGE, REPEATED, "ModelInput"),
        ("output", MESSAGE, REPEATED, "ModelOutput"),
        ("dynamic_batching", MESSAGE, OPTIONAL, "ModelDynamicBatching"),
    ],
}


def make_message():
    """Returns an empty `ModelConfig`."""
    file = descriptor_pb2.FileDescriptorProto(name="model.proto", package="inference")
    enum = file.enum_type.add(name="DataType")
    for number, name in enumerate(TYPES):
        enum.value.add(name=name, number=number)
    for message, fields in MESSAGES.items():
        made = file.message_type.add(name=message)
        for number, (name, kind, label, of) in enumerate(fields, 1):
            field = made.field.add(name=name, number=number, type=kind, label=label)
            if of:
                field.type_name = f".inference.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))()


def read_config(path):
    """Returns the configuration; unknown fields and types are errors, as in Triton."""
    return text_format.Parse(path.read_text(), make_message())


def list_tensors(tensors):
    """Returns `{name: (type, dims)}` of inputs or outputs, with the shape that the model sees."""
    return {
        tensor.name: (
            TYPES[tensor.data_type],
            list(tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims),
        )
        for tensor in tensors
    }
