package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

const (
	maxText     = 256
	maxElements = 16
	maxDepth    = 3
)

// register is a float that travels in a register, where no probe can read it.
type register float64

var output = json.NewEncoder(os.Stdout)

func record(function, parameters string, args []any, names string, results []any) {
	output.Encode(map[string]any{"func": function, "args": object(parameters, args), "results": object(names, results)})
}

func object(names string, values []any) map[string]any {
	out := map[string]any{}
	for i, name := range strings.Fields(names) {
		out[name] = top(values[i])
	}
	return out
}

// boxed marks a value that the function takes as an interface.
type boxed struct{ value any }

func top(v any) any {
	if box, ok := v.(boxed); ok {
		if box.value == nil {
			return nil
		}
		return dynamic(reflect.ValueOf(box.value), 0)
	}
	if fields, ok := v.(map[string]any); ok {
		out := map[string]any{}
		for name, field := range fields {
			out[name] = top(field)
		}
		return out
	}
	return encode(reflect.ValueOf(v), 0)
}

func cut(s string) any {
	if len(s) > maxText {
		return map[string]any{"$truncated": len(s), "value": plain(s[:maxText])}
	}
	return plain(s)
}

func plain(s string) any {
	if utf8.ValidString(s) {
		return s
	}
	return map[string]any{"$hex": hex.EncodeToString([]byte(s))}
}

func address(p uintptr) any { return map[string]any{"$ptr": fmt.Sprintf("0x%x", p)} }

func float(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return fmt.Sprintf("%+v", f)
	}
	return f
}

func encode(v reflect.Value, depth int) any {
	if v.Type() == reflect.TypeOf(register(0)) {
		return map[string]any{"$error": "float register"}
	}
	if v.Type() == reflect.TypeOf(time.Time{}) {
		t := *(*time.Time)(addressable(v))
		return t.UTC().Format(time.RFC3339Nano)
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return v.Uint()
	case reflect.Float32, reflect.Float64:
		return float(v.Float())
	case reflect.Complex64, reflect.Complex128:
		return []any{float(real(v.Complex())), float(imag(v.Complex()))}
	case reflect.String:
		return cut(v.String())
	case reflect.Slice:
		return slice(v, depth)
	case reflect.Array:
		return elements(v, v.Len(), depth)
	case reflect.Struct:
		return fields(v, depth)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if depth >= maxDepth {
			return address(v.Pointer())
		}
		return encode(v.Elem(), depth+1)
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		return map[string]any{"$len": v.Len()}
	case reflect.Func:
		if v.IsNil() {
			return nil
		}
		return map[string]any{"$ptr": "", "$func": runtime.FuncForPC(v.Pointer()).Name()}
	case reflect.Chan, reflect.UnsafePointer:
		if v.IsNil() {
			return nil
		}
		return address(v.Pointer())
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return dynamic(v.Elem(), depth)
	}
	panic(v.Kind())
}

func slice(v reflect.Value, depth int) any {
	if v.IsNil() {
		return nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b := v.Bytes()
		if len(b) > maxText {
			return map[string]any{"$truncated": len(b), "value": map[string]any{"$hex": hex.EncodeToString(b[:maxText])}}
		}
		return map[string]any{"$hex": hex.EncodeToString(b)}
	}
	if v.Len() > maxElements {
		return map[string]any{"$truncated": v.Len(), "value": elements(v, maxElements, depth)}
	}
	return elements(v, v.Len(), depth)
}

func elements(v reflect.Value, n, depth int) any {
	out := make([]any, n)
	for i := range out {
		out[i] = encode(v.Index(i), depth)
	}
	return out
}

func fields(v reflect.Value, depth int) any {
	out := map[string]any{}
	for i := 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; name != "_" {
			out[name] = encode(v.Field(i), depth)
		}
	}
	return out
}

// addressable copies a value, so that unexported fields can be read too.
func addressable(v reflect.Value) unsafe.Pointer {
	box := reflect.New(v.Type())
	if v.CanInterface() {
		box.Elem().Set(v)
	} else {
		box.Elem().Set(reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem())
	}
	return box.UnsafePointer()
}

var texts = map[string]bool{"*errors.errorString": true, "*fmt.wrapError": true, "*fmt.wrapErrors": true, "*fmt.fmtError": true}

func dynamic(v reflect.Value, depth int) any {
	name := v.Type().String()
	if texts[name] {
		return map[string]any{"$type": name, "value": cut(v.Elem().Field(0).String())}
	}
	return map[string]any{"$type": name, "value": encode(v, depth)}
}
