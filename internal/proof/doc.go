// Package proof holds no code: below it are the programs that vouch for the
// obliviousness of the code that handles secrets, so that no reader has to.
// docs/side-channels.md says in plain words what each of them sees and what it
// does not.
//
//	cases         every primitive and role, set up with all its secrets known; a whole epoch
//	rewrite       the sources as they are, with leaks planted or with every access told
//	prooftest     builds drive for the tests of the checks
//	probe         what rewritten sources call
//	memcheck      the client requests of valgrind's memcheck
//	drive         one program that runs the cases in every way
//	constanttime  runs drive under valgrind: .ci/constant-time
//	trace         runs drive twice on every pair of secrets and compares accesses
//	step          runs drive instruction by instruction and compares addresses
//	gate          reads the compiled binary: conditional jumps, divisions, forbidden instructions
//	timing        a statistical test of times on the release build
//	skips         fails on a skipped test that no list excuses
//
// Each check is itself checked: rewrite plants a secret branch, a secret index,
// an early exit and a secret loop bound into every primitive, and the check has
// to name the function. The production sources hold no hooks for any of this.
package proof
