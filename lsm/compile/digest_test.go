package compile

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// The digest covers every field: two sets that differ in a message differ.
func TestDigestCoversEverything(t *testing.T) {
	p, err := hostpolicy.ParsePattern("/a")
	if err != nil {
		t.Fatal(err)
	}
	// filled is a ruleset in which every list has a zero element.
	filled := func() *lsm.Ruleset {
		rs := &lsm.Ruleset{}
		fillLists(reflect.ValueOf(rs).Elem())
		return rs
	}
	base := digestOf(filled())
	glob := hostpolicy.LiteralGlob("x")
	prefix := netip.MustParsePrefix("10.0.0.0/8")
	var change func(path string, root *lsm.Ruleset, v reflect.Value)
	change = func(path string, root *lsm.Ruleset, v reflect.Value) {
		switch v.Interface().(type) {
		case hostpolicy.Pattern:
			v.Set(reflect.ValueOf(p))
		case hostpolicy.Glob:
			v.Set(reflect.ValueOf(glob))
		case netip.Prefix:
			v.Set(reflect.ValueOf(prefix))
		default:
			switch v.Kind() {
			case reflect.String:
				v.SetString("x")
			case reflect.Bool:
				v.SetBool(true)
			case reflect.Int:
				v.SetInt(1)
			case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
				v.SetUint(1)
			case reflect.Struct:
				for i := range v.NumField() {
					if name := v.Type().Field(i).Name; path+name != "Digest" {
						change(path+name+".", root, v.Field(i))
					}
				}
				return
			case reflect.Slice, reflect.Array:
				change(path+"[0].", root, v.Index(0))
				return
			case reflect.Pointer:
				change(path, root, v.Elem())
				return
			default:
				t.Fatalf("%s is of kind %s", path, v.Kind())
			}
		}
		if digestOf(root) == base {
			t.Errorf("the digest does not cover %s", path)
		}
		v.SetZero()
	}
	rs := filled()
	change("", rs, reflect.ValueOf(rs).Elem())
}

func fillLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillLists(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillLists(v.Index(0))
	case reflect.Array:
		fillLists(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillLists(v.Elem())
	}
}
