// ONNX bytes back into messages, by the schema's own protobuf code.
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type GraphProto, type ModelProto } from "onnx-buf";

/** The model in the bytes. */
export function decodeModel({ bytes }: { readonly bytes: Uint8Array }): ModelProto {
  return fromBinary(ModelProtoSchema, bytes);
}

/** The graph of the model in the bytes. */
export function decodeGraph(model: { readonly bytes: Uint8Array }): GraphProto {
  const { graph } = decodeModel(model);
  if (graph === undefined) throw new Error("a model has a graph");
  return graph;
}
