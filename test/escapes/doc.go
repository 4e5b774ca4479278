// Package escapes tries every way around a rule that somebody with root might
// think of, on an installed package and a real kernel. Package catalogue lists
// the ways; each has an attack here (build tag e2e), which must work without the
// rule and fail with the right errno under it. The tests run as root in the full
// guest of test/vm, with the .deb beside them; make test runs them all, and one
// is run by
//
//	make deb && CGO_ENABLED=0 go test -c -tags e2e -o build/escapes.test ./test/escapes
//	build/vm run --kernel 6.1 --guest full --file dist/hostarmor_*.deb -- build/escapes.test -test.v -test.timeout 0 -test.run 'TestEscapes/^hard-link$'
package escapes
