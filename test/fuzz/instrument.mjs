// Loader hook of the fuzzer: strips types and, in src/, counts each branch that is taken and shows compared values to the
// fuzzer (coverage.ts). `register` it before anything of src/ is imported; test files are only stripped of their types.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const SOURCES = new URL('../../src/', import.meta.url).href;
/** Declares constants for the counters, and nothing that could be attacked. */
const PLAIN = [`${SOURCES}wire/tl/types.ts`];
const PLANTED = new URL('planted.ts', import.meta.url).href;

const OPTIONS = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true, removeComments: true };
let next = 0;

export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
  const text = readFileSync(fileURLToPath(url), 'utf8');
  const first = next;
  const counted = (url.startsWith(SOURCES) && !PLAIN.includes(url)) || url === PLANTED;
  const { outputText } = ts.transpileModule(text, { fileName: fileURLToPath(url), compilerOptions: OPTIONS, ...(counted && { transformers: { before: [counting] } }) });
  const prelude = counted ? `const __hits = globalThis.cocoonFuzz.hits, __same = globalThis.cocoonFuzz.same; globalThis.cocoonFuzz.files.push([${JSON.stringify(url.slice(SOURCES.length))}, ${first}, ${next}]);\n` : '';
  return { format: 'module', source: prelude + outputText, shortCircuit: true };
}

/** Counts entries of functions, branches, loop bodies, cases and right sides of `&&`, `||`, `??`; hands out numbers in order. */
function counting(context) {
  const { factory } = context;
  const hit = () => {
    const counter = factory.createElementAccessExpression(factory.createIdentifier('__hits'), factory.createNumericLiteral(next));
    next += 1;
    return factory.createPostfixUnaryExpression(counter, ts.SyntaxKind.PlusPlusToken);
  };
  const counted = (expression) => factory.createParenthesizedExpression(factory.createComma(hit(), expression));
  const statement = () => factory.createExpressionStatement(hit());
  const block = (body) => factory.createBlock(ts.isBlock(body) ? [statement(), ...body.statements] : [statement(), body], true);

  const visit = (before) => {
    const node = ts.visitEachChild(before, visit, context);
    if (ts.isIfStatement(node)) return factory.updateIfStatement(node, node.expression, block(node.thenStatement), block(node.elseStatement ?? factory.createBlock([])));
    if (ts.isConditionalExpression(node)) {
      return factory.updateConditionalExpression(node, node.condition, node.questionToken, counted(node.whenTrue), node.colonToken, counted(node.whenFalse));
    }
    if (ts.isBinaryExpression(node)) return binary(node);
    if (ts.isCaseClause(node)) return factory.updateCaseClause(node, node.expression, [statement(), ...node.statements]);
    if (ts.isDefaultClause(node)) return factory.updateDefaultClause(node, [statement(), ...node.statements]);
    if (ts.isCatchClause(node)) return factory.updateCatchClause(node, node.variableDeclaration, block(node.block));
    if (ts.isForStatement(node)) return factory.updateForStatement(node, node.initializer, node.condition, node.incrementor, block(node.statement));
    if (ts.isForOfStatement(node)) return factory.updateForOfStatement(node, node.awaitModifier, node.initializer, node.expression, block(node.statement));
    if (ts.isWhileStatement(node)) return factory.updateWhileStatement(node, node.expression, block(node.statement));
    if (ts.isArrowFunction(node)) return factory.updateArrowFunction(node, node.modifiers, node.typeParameters, node.parameters, node.type, node.equalsGreaterThanToken, ts.isBlock(node.body) ? block(node.body) : counted(node.body));
    if (ts.isFunctionDeclaration(node) && node.body) return factory.updateFunctionDeclaration(node, node.modifiers, node.asteriskToken, node.name, node.typeParameters, node.parameters, node.type, block(node.body));
    if (ts.isMethodDeclaration(node) && node.body) return factory.updateMethodDeclaration(node, node.modifiers, node.asteriskToken, node.name, node.questionToken, node.typeParameters, node.parameters, node.type, block(node.body));
    return node;
  };

  const binary = (node) => {
    const { kind } = node.operatorToken;
    switch (kind) {
      case ts.SyntaxKind.AmpersandAmpersandToken: case ts.SyntaxKind.BarBarToken: case ts.SyntaxKind.QuestionQuestionToken:
        return factory.updateBinaryExpression(node, node.left, node.operatorToken, counted(node.right));
      case ts.SyntaxKind.EqualsEqualsEqualsToken: case ts.SyntaxKind.ExclamationEqualsEqualsToken: {
        const call = factory.createCallExpression(factory.createIdentifier('__same'), undefined, [node.left, node.right]);
        return kind === ts.SyntaxKind.EqualsEqualsEqualsToken ? call : factory.createLogicalNot(call);
      }
      default: return node;
    }
  };
  return (file) => ts.visitEachChild(file, visit, context);
}
