// Few rules: what is wrong or unused, and lines that nobody can read.
import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/vendor/**"] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "max-len": ["error", { code: 120, ignoreUrls: true, ignoreRegExpLiterals: true }],
      "prefer-const": "error",
      eqeqeq: "error",
    },
  },
  { files: ["tests/page/**"], languageOptions: { globals: globals.node } },
];
