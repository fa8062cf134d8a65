// Tests run as native ES modules; @swc/jest only strips the types. tsc --noEmit checks them.
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', {
      swcrc: false,
      module: { type: 'es6' },
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
    }],
  },
  testTimeout: 120_000,
  // Two, also on two cores: much of the time is spent waiting, and a worker that a test has spoilt is ended with its work.
  maxWorkers: 2,
};
