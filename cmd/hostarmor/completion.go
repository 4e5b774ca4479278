package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/policytest"
)

// complete gives the values of a flag to the shell; none where a shell would
// offer files that nobody means.
func complete(c *cobra.Command, flag string, values ...string) {
	cobra.CheckErr(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// completeAccess completes OPERATION and OBJECT.
func completeAccess(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return beginning(word, policytest.OperationNames()), cobra.ShellCompDirectiveNoFileComp
	}
	op, ok := hostpolicy.ParseOperation(args[0])
	if !ok || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	switch op.Class() {
	case hostpolicy.Process, hostpolicy.File:
		return nil, cobra.ShellCompDirectiveDefault
	case hostpolicy.Capability:
		var names []string
		for c := range hostpolicy.Caps {
			names = append(names, hostpolicy.Cap(c).String())
		}
		return beginning(word, names), cobra.ShellCompDirectiveNoFileComp
	case hostpolicy.Network:
		return protocols(op, word)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// protocols completes the first part of a network object, and the path of a
// Unix socket.
func protocols(op hostpolicy.Operation, word string) ([]string, cobra.ShellCompDirective) {
	if path, ok := strings.CutPrefix(word, "unix:"); ok && op != hostpolicy.OpSocket {
		dir := path[:strings.LastIndexByte(path, '/')+1]
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, e := range entries {
			name := "unix:" + dir + e.Name()
			if e.IsDir() {
				name += "/"
			}
			names = append(names, name)
		}
		return beginning(word, names), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	var names []string
	more := false
	for _, p := range hostpolicy.Protocols() {
		name := p.String()
		if op != hostpolicy.OpSocket && (p.Internet() || p == hostpolicy.Unix) {
			name += ":"
		}
		names = append(names, name)
	}
	names = beginning(word, names)
	for _, name := range names {
		more = more || strings.HasSuffix(name, ":")
	}
	directive := cobra.ShellCompDirectiveNoFileComp
	if more {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return names, directive
}

func beginning(word string, values []string) []string {
	var out []string
	for _, v := range values {
		if strings.HasPrefix(v, word) {
			out = append(out, v)
		}
	}
	return out
}
