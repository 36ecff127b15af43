/** What is used here of the JavaScript interface of WebAssembly, which the types of Node.js do not have. */
declare global {
  namespace WebAssembly {
    class Module {
      constructor(bytes: Uint8Array<ArrayBuffer>);
      static exports(module: Module): { readonly name: string }[];
      static imports(module: Module): { readonly module: string; readonly name: string }[];
    }
    class Instance {
      readonly exports: Readonly<Record<string, unknown>>;
    }
  }
}

export type {};
