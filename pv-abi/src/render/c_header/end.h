#endif /* __ASSEMBLER__ */

#undef PV_PIN_SIZE
#undef PV_PIN_OFFSET

#endif /* PARAVANE_H */
