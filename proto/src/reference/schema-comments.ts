import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type {
  DescEnum,
  DescEnumValue,
  DescField,
  DescMessage,
  DescMethod,
  DescService,
} from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

/** Folder of this package, from `src/reference` as from `dist/reference`. */
export const PACKAGE_FOLDER = fileURLToPath(new URL('../../', import.meta.url));

/** The program of the `buf` package. */
export const BUF = join(
  dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')),
  'bin/buf',
);

/** The comments of the schema, which the generated code leaves out at run time. */
export class SchemaComments {
  private constructor(private readonly comments: ReadonlyMap<string, string>) {}

  /** Compiles the schema. */
  static read(): SchemaComments {
    const arguments_ = [BUF, 'build', '--as-file-descriptor-set', '-o', '-'];
    const set = fromBinary(
      FileDescriptorSetSchema,
      execFileSync(process.execPath, arguments_, { cwd: PACKAGE_FOLDER }),
    );
    return new SchemaComments(new Map(set.file.flatMap(commentsOfFile)));
  }

  /** The comment in front of a declaration, on one line. */
  of(description: DescMessage | DescField | DescEnum | DescEnumValue | DescService | DescMethod): string {
    const name =
      'typeName' in description ? description.typeName : `${description.parent.typeName}.${description.name}`;
    return this.comments.get(name) ?? '';
  }

  /** The comment of a field without its last sentence, if that names the default, and the default by itself. */
  ofField(field: DescField): { meaning: string; defaultText?: string } {
    const comment = this.of(field);
    const [, meaning, defaultText] = /^(.*?)\s*Default (.+)\.$/.exec(comment) ?? [];
    return meaning === undefined || defaultText === undefined
      ? { meaning: comment }
      : { meaning, defaultText };
  }
}

/** Numbers of the fields that lead to declarations in a file (descriptor.proto). */
const MESSAGE_TYPE = 4;
const ENUM_TYPE = 5;
const SERVICE_TYPE = 6;
const MEMBER = 2;

function commentsOfFile(file: FileDescriptorProto): [name: string, comment: string][] {
  return (file.sourceCodeInfo?.location ?? []).flatMap(({ path, leadingComments }) => {
    const name = declarationName(file, path);
    const comment = leadingComments.trim().replaceAll(/\s+/g, ' ');
    return name === undefined || comment === '' ? [] : [[name, comment] as [string, string]];
  });
}

/** A path is a chain of field numbers and indices: `4, 0` is the first message, `4, 0, 2, 1` its second field. */
function declarationName(file: FileDescriptorProto, path: readonly number[]): string | undefined {
  const [kind, index = -1, memberKind, inner = -1] = path;
  if (path.length !== 2 && !(path.length === 4 && memberKind === MEMBER)) return undefined;
  const outer = kind === MESSAGE_TYPE ? file.messageType[index] : undefined;
  const enumeration = kind === ENUM_TYPE ? file.enumType[index] : undefined;
  const service = kind === SERVICE_TYPE ? file.service[index] : undefined;
  const declared = outer ?? enumeration ?? service;
  if (declared === undefined) return undefined;
  const name = `${file.package}.${declared.name}`;
  if (path.length === 2) return name;
  const member = outer?.field[inner] ?? enumeration?.value[inner] ?? service?.method[inner];
  return member && `${name}.${member.name}`;
}
