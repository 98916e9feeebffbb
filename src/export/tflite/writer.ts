import { OPTIONS } from "../../import/tflite/schema.ts";
import type { Graph, Node, Tensor } from "../../model/graph.ts";
import type { Fields } from "./flatbuffer.ts";
import { operatorVersion, type Signature } from "./versions.ts";

/** BuiltinOptions: tags that only a writer needs beside the importer's. */
const TAGS = { ...OPTIONS, SplitVOptions: 79 } as const;

export interface FileOperator {
  /** As the schema names it. */
  name: string;
  version: number;
  /** Tensor indices, -1 where absent. */
  inputs: readonly number[];
  outputs: readonly number[];
  options?: { tag: number; fields: Fields };
}

/** What an operator has beside its name and operands. */
interface Extra extends Pick<Signature, "keepDims" | "centered" | "powerOfTwoScales"> {
  options?: readonly [type: keyof typeof TAGS, fields: Fields];
}

/** Writes one node. Returns why the format has no such thing; "" where it has. */
export type Row<N extends Node = Node> = (writer: TfliteWriter, node: N) => string;

/** The tensors and operators of the file to be: tensor i of the Graph stays tensor i. */
export class TfliteWriter {
  readonly tensors: Tensor[];
  readonly operators: FileOperator[] = [];

  constructor(graph: Graph) {
    this.tensors = [...graph.tensors];
  }

  tensor(id: number): Tensor {
    return this.tensors[id];
  }

  add(tensor: Tensor): number {
    return this.tensors.push(tensor) - 1;
  }

  /** An int32 constant: axes, sizes, pads. shape: left out, one dimension. */
  constant(name: string, values: readonly number[], shape = [values.length]): number {
    return this.add({ name, shape, dtype: "int32", data: Int32Array.from(values) });
  }

  make(name: string, operands: readonly number[], outputs: readonly number[], extra: Extra = {}): void {
    const { options, ...signature } = extra;
    const inputs = present(operands);
    const version = operatorVersion(name, {
      ...signature,
      inputs: inputs.map((id) => (id === -1 ? undefined : this.tensors[id])),
      output: this.tensors[outputs[0]],
    });
    this.operators.push({
      name,
      version,
      inputs,
      outputs,
      ...(options && { options: { tag: TAGS[options[0]], fields: options[1] } }),
    });
  }
}

/** Without the absent ones at the end. */
function present(operands: readonly number[]): readonly number[] {
  return operands.at(-1) === -1 ? present(operands.slice(0, -1)) : operands;
}
