import { ModelFormatError } from "../../errors.ts";
import { FlatBuffer, type Table } from "./flatbuffer.ts";
import {
  BUILTIN_OPERATORS,
  IDENTIFIER,
  MODEL,
  OPERATOR,
  OPERATOR_CODE,
  SUBGRAPH,
  VERSION,
} from "./schema.ts";
import { type FileTensor, readTensor } from "./tensors.ts";

const MAX_TENSORS = 100_000;
const MAX_OPERATORS = 100_000;
const MAX_BUFFERS = 200_000;
const MAX_CODES = 10_000;
const MAX_SUBGRAPHS = 10_000;

export interface FileOperator {
  /** As the schema names it; CUSTOM with its own name in brackets. */
  name: string;
  /** Tensor indices, -1 where absent. */
  inputs: number[];
  outputs: number[];
  table: Table;
}

/** Subgraph 0, which is the main one; others are reached only through operators that we do not import. */
export interface FileModel {
  tensors: FileTensor[];
  operators: FileOperator[];
  inputs: number[];
  outputs: number[];
}

/** bytes: 8-aligned in their buffer. @throws ModelFormatError naming the offset. */
export function readModel(bytes: Uint8Array, where: string): FileModel {
  const file = new FlatBuffer(bytes, where);
  const identifier = new TextDecoder().decode(bytes.subarray(4, 8));
  if (identifier !== IDENTIFIER)
    throw new ModelFormatError(
      `${where}: offset 4`,
      `a TFLite model ("${IDENTIFIER}")`,
      JSON.stringify(identifier),
    );
  const model = file.root("model");
  const version = model.uint32(MODEL.version, "version");
  if (version !== VERSION) model.fail("version", `${VERSION}`, `${version}`);
  const buffers = model.tables(MODEL.buffers, "buffers", MAX_BUFFERS, "buffer");
  const codes = model
    .tables(MODEL.operatorCodes, "operator_codes", MAX_CODES, "operator_code")
    .map(operatorName);
  const [main] = model.tables(MODEL.subgraphs, "subgraphs", MAX_SUBGRAPHS, "subgraph");
  if (main === undefined) return model.fail("subgraphs", "at least one", "none");
  const tensors = main
    .tables(SUBGRAPH.tensors, "tensors", MAX_TENSORS, "tensor")
    .map((table) => readTensor(file, table, buffers));
  const operators = main
    .tables(SUBGRAPH.operators, "operators", MAX_OPERATORS, "operator")
    .map((table) => readOperator(table, codes, tensors.length));
  return {
    tensors,
    operators,
    inputs: ends(main, SUBGRAPH.inputs, "inputs", tensors.length),
    outputs: ends(main, SUBGRAPH.outputs, "outputs", tensors.length),
  };
}

function operatorName(table: Table): string {
  const old = table.int8(OPERATOR_CODE.deprecatedBuiltinCode, "deprecated_builtin_code");
  const code = Math.max(old, table.int32(OPERATOR_CODE.builtinCode, "builtin_code"));
  const name = BUILTIN_OPERATORS[code] ?? `operator ${code}`;
  return name === "CUSTOM"
    ? `CUSTOM(${table.string(OPERATOR_CODE.customCode, "custom_code").slice(0, 64)})`
    : name;
}

function readOperator(table: Table, codes: string[], tensors: number): FileOperator {
  const code = table.uint32(OPERATOR.opcodeIndex, "opcode_index");
  if (code >= codes.length) table.fail("opcode_index", `an operator code below ${codes.length}`, `${code}`);
  return {
    name: codes[code],
    inputs: tensorIds(table, OPERATOR.inputs, "inputs", tensors, -1),
    outputs: tensorIds(table, OPERATOR.outputs, "outputs", tensors, 0),
    table,
  };
}

function tensorIds(table: Table, id: number, field: string, tensors: number, least: number): number[] {
  const ids = table.numbers(id, field, "int32") ?? [];
  const bad = ids.find((tensor) => tensor < least || tensor >= tensors);
  if (bad !== undefined) table.fail(field, `tensors in [${least}, ${tensors - 1}]`, `${bad}`);
  return ids;
}

/** Inputs or outputs of the subgraph: at least one, none twice. */
function ends(table: Table, id: number, field: string, tensors: number): number[] {
  const ids = tensorIds(table, id, field, tensors, 0);
  if (ids.length === 0) table.fail(field, "at least one tensor", "none");
  if (field === "inputs" && new Set(ids).size !== ids.length)
    table.fail(field, "each tensor once", `[${ids.slice(0, 16)}]`);
  return ids;
}
