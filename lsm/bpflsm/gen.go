package bpflsm

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64 -go-package bpflsm -type control -type daemon -type generation -type state -type edge -type root -type role -type role_key -type verdict -type verdict_key -type cell -type label -type event -type cached -type subject -type identity -type applet -type user_row -type act_key -type trace_key -type link_key engine bpf/engine.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu

// What abi.h says in enums and macros, which BTF does not carry. abi_test.go
// holds the two together.
const (
	abiVersion = 2
	slots      = 4
	treeBits   = 40
	chunk      = 16
	globRow    = 257

	edgeMore = 1 << 31
	edgeNode = 1 << 30

	cellOtherwise = 1
	cellDangerous = 2
	cellSelf      = 4

	generationDefaults = 1
	generationPrograms = 2
	generationAudit    = 4
	generationUsers    = 8
	generationUnits    = 16
	generationTraces   = 32
	generationApplets  = 64

	labelOwned   = 1
	labelApplets = 2

	firstAct      = 64
	guardedSwitch = 2 // in maps.h
	appletName    = 60
	maxLinks      = 8
	viewCarriers  = 1<<32 - 1

	eventPermitted   = 1
	eventExempt      = 2
	eventUnjudged    = 4
	eventOtherwise   = 8
	eventCutResource = 16
	eventCutExe      = 32
	eventCutParent   = 64
)
